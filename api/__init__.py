"""REST v1 and the web pages."""
