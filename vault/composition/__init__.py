"""What the running safe consists of: opened backends, and the services put together on them."""
