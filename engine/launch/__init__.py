"""The launch guard: probes find facts, the launch policy decides on them, and the verdict is recorded (SOP §1.1–§1.6).

One module a topic: `environment`, `timesync`, `variables`, `key`, `configuration`, `data`, `account`, `dry_run`,
`alerts`. None of them knows a threshold; what is wrong, and the cure, stands in ``policies/launch.yaml``.
"""
