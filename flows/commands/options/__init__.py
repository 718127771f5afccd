"""What several commands share: options and what they name (a store, a model, frames, places to write), and the console.

No command lives here, and nothing here imports one.
"""
