from typing import Any

# What host/s3_program.py uses of boto3, which has no types of its own.
def client(service_name: str, **options: Any) -> Any: ...
