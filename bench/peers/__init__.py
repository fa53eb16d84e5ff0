"""One module per proxy: where it is found, what configuration it gets, how it is started."""
