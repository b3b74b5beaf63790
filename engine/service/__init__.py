"""The service: one supervised tree of processes that keeps a desk running, watched and looked after."""
