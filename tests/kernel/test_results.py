"""What a run found: parts of a record's config, by their keys."""

from judged_runs import record_of, scores


def test_a_part_of_the_config_is_found_or_empty():
    record = record_of(scores([1.0]))
    assert record.part("statistics") == {"confidence": 0.95}
    assert record.part("judges", "main") == {"backend": "parrot"}
    assert record.part("judges", "nobody") == record.part("nothing") == record.part("name") == {}
