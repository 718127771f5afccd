"""What every settings class of the project shares: frozen, typed, and split by whether results depend on it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def neutral(default: Any, description: str, **constraints: Any) -> Any:
    """A field that cannot change a result (device, workers, batch of inference) and so stays out of artifact keys."""
    return Field(default, description=description, json_schema_extra={"affects_result": False}, **constraints)


class Settings(BaseModel):
    """Base of every settings class: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def key_fields(self) -> dict[str, Any]:
        """The settings that can change a result, as plain JSON values, for artifact keys."""
        fields: dict[str, Any] = {}
        dumped = self.model_dump(mode="json")
        for name, info in type(self).model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and extra.get("affects_result") is False:
                continue
            value = getattr(self, name)
            fields[name] = value.key_fields() if isinstance(value, Settings) else dumped[name]
        return fields
