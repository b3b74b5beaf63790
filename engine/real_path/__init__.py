"""A rehearsal on the real path: every order through the client to a simulated venue, on a simulated clock."""
