"""What paths mean, as functions of what was read: values in, values out."""
