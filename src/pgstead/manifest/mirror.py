"""What the manifest says of a copy of the backups in object storage."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Switch

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Prefix = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*)?$")
]
Endpoint = Annotated[str, Field(pattern=r"^(https?://[^/\s?#@]+)?/?$")]


class S3(Part):
    """A copy of the repository, as sealed as it is, in object storage that speaks S3 (BAK-4)."""

    bucket: Bucket = Field(description="The bucket; it must be there.")
    prefix: Prefix = Field(default="", description="What all keys begin with; else the name.")
    endpoint: Endpoint = Field(
        default="", description='The address, e.g. "https://s3.example.net:9000"; empty: AWS.'
    )
    region: str = Field(default="", description="The region; empty: us-east-1.")
    access_key_file: str = Field(
        default="", description="A file with the access key; empty: as the AWS tools find it."
    )
    secret_key_file: str = Field(default="", description="A file of mode 0600 with the secret key.")
    ca_file: str = Field(
        default="",
        description="Certificates that the endpoint is verified with; empty: usual ones.",
    )
    interval: Annotated[Duration, Field(ge=1)] = Field(
        default=60.0, description="How often what is new is copied."
    )
    max_age: Annotated[Duration, Field(ge=10)] = Field(
        default=900.0, description="What is older and not copied is late; WAL is closed in time."
    )
    with_key: Switch = Field(
        default=False,
        description="Copy the secret half of the key too, under its passphrase; else"
        " `pgstead backup key export`.",
    )

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if bool(self.access_key_file) != bool(self.secret_key_file):
            raise ValueError("access_key_file and secret_key_file go together: name both, or none")
        return self
