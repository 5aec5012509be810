"""Four tiny verticals that prove the plugin interface: table, stream, images, items."""
