"""The wizard: screens over the facade. It reads no machine and runs no step itself."""
