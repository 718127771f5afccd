"""Names of the files of a trained model, for who looks for them without importing torch."""

MODEL, SETTINGS, PROTOTYPES, HISTORY = "model.safetensors", "settings.yaml", "prototypes.safetensors", "history.parquet"
