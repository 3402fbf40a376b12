"""Reading facts; nothing here changes anything or raises for what cannot be read."""
