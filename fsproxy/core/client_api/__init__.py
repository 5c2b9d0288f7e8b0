"""Client API calls: read from every form that they have on the wire, validated, and cut out exactly (rules.md 2)."""
