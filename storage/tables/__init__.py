"""Arrow schemas of what is stored, and Parquet files of them."""
