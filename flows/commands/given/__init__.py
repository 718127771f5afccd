"""What command lines share: frames, places to write, stores and galleries as a user names them."""
