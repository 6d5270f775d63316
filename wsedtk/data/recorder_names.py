"""Read the start time of a recording in the file name that a recorder gave it.

These forms are recognised anywhere in a name. Before and after the time, there must be no digit:

    20240517_053000         AudioMoth, Song Meter, Swift, PAMGuard (SITE_20240517_053000.wav);
                            the separator may also be -, T, a space or $ (SITE_20240517$053000.wav)
    20240517T053000+0100    BAR and Swift, with a time zone or Z
    2024-05-17T05-30-00     Anabat and others; the separators of the time may be -, :, . or _, and
                            the separator before the time T, _, - or a space
    2024-05-17-birdnet-05:30:00     BirdNET-Pi
    5147.240517053000       SoundTrap: a serial number and 12 digits

The time is that of the recorder's clock. A time zone is ignored. Fractions of a second are ignored,
too. If a name contains several times, the first one counts. The years are from 1990 to 2099.
"""

import datetime
import re
from pathlib import PurePath

_DATE = r"(?P<year>(?:19|20)\d\d){0}(?P<month>\d\d){0}(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d){0}(?P<minute>\d\d){0}(?P<second>\d\d)"
_FORMS = (
    rf"(?<!\d){_DATE.format('')}[_\-T $]{_TIME.format('')}(?!\d)",
    rf"(?<!\d){_DATE.format('[-_.]')}(?:[T_\- ]|-birdnet-){_TIME.format('[-:._]')}(?!\d)",
    rf"(?<=\d\.)(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d){_TIME.format('')}(?!\d)",
)
_YEARS = range(1990, 2100)


def start_time(file_name: str) -> datetime.datetime | None:
    """Return the time at which a recording begins, or None if its name does not contain a time.

    Parameters
    ----------
    file_name : str
        The name of the file. Folders before the name are ignored.
    """
    name = PurePath(file_name).name
    found = [match for form in _FORMS for match in re.finditer(form, name)]
    for match in sorted(found, key=re.Match.start):
        parts = {unit: int(text) for unit, text in match.groupdict().items()}
        if parts["year"] < 100:
            parts["year"] += 2000
        try:
            time = datetime.datetime(**parts)  # type: ignore[arg-type]  # without a time zone
        except ValueError:
            continue
        if time.year in _YEARS:
            return time
    return None
