"""Real servers, real sockets and a real Valkey, of which nothing is spared."""
