"""The outside surface: command line, HTTP service, web page."""
