"""A first routes.yaml from what is already there: OpenAPI documents, access logs, the traffic that no route lists yet.

`discovery.core` infers and writes, and is pure; the modules beside it read files.  Nothing here speaks to a network,
not even where a document refers to one, and nothing here is needed to route a request.
"""
