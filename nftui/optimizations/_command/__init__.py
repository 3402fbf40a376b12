"""A server's `command`, read and rebuilt whole with settings among its arguments: for optimizations that own one."""
