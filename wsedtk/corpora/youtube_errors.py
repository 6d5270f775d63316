"""Classify the error messages of yt-dlp. `verdict` describes the classes.

YouTube writes most of these messages. yt-dlp reads them from `reason` and `subreason` in the
`playabilityStatus` that YouTube sends (extractor/youtube/_video.py). They are in English unless
yt-dlp is configured otherwise. yt-dlp itself writes the remaining messages. If a message is not
listed here, for example because it is in another language, the download is tried again.

The dicts _GONE, _ACCOUNT, _BLOCK and _PASSING map a kind of message to patterns. The comments quote
the messages. The name of the source of a message, YouTube or yt-dlp, precedes the message. A word
in capitals, such as UNPLAYABLE, is the `status` in `playabilityStatus`. Three dots stand for text
that varies. The numbers of issues refer to the issues of yt-dlp on GitHub.
"""

import re
from typing import Literal

Verdict = Literal["dead", "account", "blocked", "unexplained", "retry"]

# The video can't be downloaded from this location, now or later.
_GONE = {
    # YouTube: LOGIN_REQUIRED "Private video" with the subreason "Sign in if you've been granted
    # access to this video"; "This video is private"
    "private": ["private video", "video is private"],
    # YouTube: ERROR "This video has been removed by the uploader", "... for violating YouTube's
    # Terms of Service", "... policy on ..."; "This video isn't available anymore"; "This video is
    # no longer available because the YouTube account associated with this video has been
    # terminated", "... because the uploader has closed their YouTube account", "... due to a
    # copyright claim by ..."; "This video does not exist"
    "removed": [
        "video has been (?:removed|deleted)",
        "video is no longer available",
        "video (?:isn't|is not) available anymore",
        "video does not exist",
    ],
    # YouTube, if a live stream was not recorded: "This live stream recording is not available"
    "stream": ["live stream recording is not available"],
    # YouTube: UNPLAYABLE "The uploader has not made this video available in your country", "This
    # video contains content from ..., who has blocked it in your country on copyright grounds",
    # "... who has blocked it on copyright grounds". yt-dlp (raise_geo_restricted in
    # extractor/common.py): "not available from your location due to geo restriction"
    "country": [
        "video available in your country",
        "blocked it (?:in your country )?on copyright",
        "video (?:isn't|is not) available (?:in|from) your (?:country|region|location)",
    ],
    # YouTube: UNPLAYABLE "Join this channel to get access to members-only content like this video",
    # "This video is available to this channel's members on level ..."
    "members": ["members-only content", "available to this channel's members"],
    # YouTube: UNPLAYABLE "This video requires payment to watch", "This video is only available to
    # Music Premium members"
    "payment": ["video requires payment", "only available to [a-z ]*premium members"],
}

# The video is available only to users who sign in, for example with cookies.
_ACCOUNT = {
    # YouTube: LOGIN_REQUIRED "Sign in to confirm your age", "This video may be inappropriate for
    # some users"; AGE_VERIFICATION_REQUIRED "This video is age-restricted". yt-dlp can download
    # such a video with the cookies of an adult's account (issues 8583, 11296).
    "age": ["confirm your age", "inappropriate for some users", "video is age.restricted"],
}

# YouTube refuses all requests from this IP address.
_BLOCK = {
    # YouTube, if it considers the client a robot: "Sign in to confirm you're not a bot",
    # "Please sign in" (issues 10128, 11201). yt-dlp: "YouTube is requiring a captcha challenge
    # before playback", "Your IP is likely being blocked by Youtube"
    "robot check": [
        "not a bot",
        "please sign in",
        "captcha",
        "blocked by youtube",
        "unusual traffic",
    ],
    # YouTube: "This content isn't available, try again later", "This content isn't available"
    # (issues 11426, 15767). yt-dlp, if the HTTP status is 429: "Too Many Requests"
    "rate limit": ["content isn't available", "try again", "rate.?limit", "too many requests"],
}

# The download can succeed later. The network, the site or yt-dlp failed, or the video is not ready.
_PASSING = {
    # yt-dlp: "Login details are needed to download this content". yt-dlp (raise_login_required in
    # extractor/common.py): "only available for registered users"
    "sign-in": ["login details are needed", "registered users"],
    # Google shows the page "Before you continue to YouTube" (consent.youtube.com) to visitors from
    # Europe. yt-dlp: "Invalid cookie consent redirect URL"
    "consent": ["before you continue", "consent"],
    # yt-dlp: the messages in networking/exceptions.py, and "(caused by ...)" of ExtractorError
    "network": ["http error", "caused by", "timed out", "unable to download", "unable to connect"],
    # YouTube, if it rejects the player that yt-dlp imitates: "Playback on other websites has been
    # disabled by the video owner" (issue 17497), "... who has blocked it from display on this
    # website or application", "The following content is not available on this app" (issue 10108),
    # "The page needs to be reloaded" (issue 17389). yt-dlp: "Requested format is not available".
    # yt-dlp, if YouTube encrypts all formats for a player: "This video is DRM protected" (issue
    # 12563)
    "player": [
        "on other websites",
        "on this website",
        "on this app",
        "needs to be reloaded",
        "drm protected",
        "requested format",
    ],
    # YouTube: LIVE_STREAM_OFFLINE "This live event will begin in 3 hours", "Premieres in 3 hours",
    # "This live event has ended"; "We're processing this video. Check back later"
    "not yet": ["live event", "premieres in", "processing this video", "check back later"],
}

# YouTube gives no reason: "Video unavailable", "This video is not available". It shows these
# messages for deleted videos, and for all videos if it blocks the IP address (issues 7861, 9353).
_NO_REASON = re.compile(
    r"(?:\[\w+\]\s*\S*:)?"  # the name of an extractor of yt-dlp, and an optional video ID
    r"(?:\W*(?:this )?video (?:(?:is )?unavailable|(?:is not|isn't) available))+\W*",
    re.I,
)


def _pattern(kinds: dict[str, list[str]]) -> re.Pattern[str]:
    return re.compile("|".join(phrase for phrases in kinds.values() for phrase in phrases), re.I)


# If a message matches several of these patterns, the first of them gives the verdict.
_PATTERNS: dict[Verdict, re.Pattern[str]] = {
    "blocked": _pattern(_BLOCK),
    "retry": _pattern(_PASSING),
    "account": _pattern(_ACCOUNT),
    "dead": _pattern(_GONE),
}


def verdict(video: str, message: str) -> Verdict:
    """Classify an error message about a video.

    Parameters
    ----------
    video : str
        The ID of the video.
    message : str
        The error message of yt-dlp.

    Returns
    -------
    "dead"
        The video can't be downloaded from this location, now or later.
    "account"
        The video is available only to users who sign in.
    "blocked"
        YouTube refuses all requests from this IP address.
    "unexplained"
        The video is unavailable, and no reason is given. If all videos have this verdict, YouTube
        probably blocks this IP address.
    "retry"
        The download can be tried again. Unknown messages have this verdict, too.
    """
    # Remove the video ID from addresses, file names and the prefix that yt-dlp writes, because a
    # video ID can contain words such as "captcha".
    text = re.sub(rf"(\[youtube\] |v=|Y){re.escape(video)}", r"\1", message)
    text = text.replace("\u2019", "'")
    for found, pattern in _PATTERNS.items():
        if pattern.search(text):
            return found
    return "unexplained" if _NO_REASON.fullmatch(text) else "retry"
