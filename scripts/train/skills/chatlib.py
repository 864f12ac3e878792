"""The JSON dialect shared by chat rendering and the generators."""

import json


def dumps(value):
    """JSON as transformers' `tojson` filter writes it."""
    return json.dumps(value, ensure_ascii=False)
