"""`policy fmt`: a file in one layout, with every comment where it was."""
