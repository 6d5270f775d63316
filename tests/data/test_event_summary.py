"""The summary of events by file, hour and day, against sums by hand."""

from wsedtk.data.event_summary import EventSummary, Summarised
from wsedtk.data.events import Event


def summary(*recordings):
    made = EventSummary()
    for name, seconds, events in recordings:
        found = [Event(onset, offset, label, 0.5) for onset, offset, label in events]
        made.add(Summarised(f"site/{name}", name, seconds, found))
    return made


def test_sums():
    """The second recording lasts from 23:59:00 to 00:01:30 and has an event over midnight."""
    found = summary(
        ("A_20240517_223000.wav", 60, [(1, 3, "dog"), (5, 5.5, "dog"), (2, 4, "a, b")]),
        ("A_20240517_235900.wav", 150, [(50, 70.25, "dog"), (80, 90, "owl")]),
        ("A_20240517_224000.wav", 30, []),
        ("A_20240518_050000.wav", 30, []),
        ("other.wav", 10, [(0, 1, "dog")]),
    )
    assert found.without_time == ["site/other.wav"]
    assert found.to_csv().splitlines() == [
        "period,name,event_label,events,event_seconds,recorded_seconds",
        'file,site/A_20240517_223000.wav,"a, b",1,2.000,60.000',
        "file,site/A_20240517_223000.wav,dog,2,2.500,60.000",
        "file,site/A_20240517_235900.wav,dog,1,20.250,150.000",
        "file,site/A_20240517_235900.wav,owl,1,10.000,150.000",
        "file,site/A_20240517_224000.wav,,0,0.000,30.000",
        "file,site/A_20240518_050000.wav,,0,0.000,30.000",
        "file,site/other.wav,dog,1,1.000,10.000",
        'hour,2024-05-17 22:00,"a, b",1,2.000,90.000',
        "hour,2024-05-17 22:00,dog,2,2.500,90.000",
        "hour,2024-05-17 23:00,dog,1,10.000,60.000",
        "hour,2024-05-18 00:00,dog,0,10.250,90.000",
        "hour,2024-05-18 00:00,owl,1,10.000,90.000",
        "hour,2024-05-18 05:00,,0,0.000,30.000",
        'day,2024-05-17,"a, b",1,2.000,150.000',
        "day,2024-05-17,dog,3,12.500,150.000",
        "day,2024-05-18,dog,0,10.250,120.000",
        "day,2024-05-18,owl,1,10.000,120.000",
    ]


def test_a_long_recording_and_an_event_at_the_full_hour():
    found = summary(("20240517_053000.wav", 3 * 3600, [(1800, 1800, "x"), (1800, 9000, "y")]))
    lines = [line for line in found.to_csv().splitlines() if line.startswith("hour")]
    assert lines == [
        "hour,2024-05-17 05:00,,0,0.000,1800.000",
        "hour,2024-05-17 06:00,x,1,0.000,3600.000",
        "hour,2024-05-17 06:00,y,1,3600.000,3600.000",
        "hour,2024-05-17 07:00,y,0,3600.000,3600.000",
        "hour,2024-05-17 08:00,,0,0.000,1800.000",
    ]
