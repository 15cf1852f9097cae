//! AWS's timestamps: `20150830T123600Z`, and nothing else.
//!
//! ISO 8601 basic format in UTC, whole seconds. Read strictly, because the text is signed as it
//! stands: a lenient reader would accept what no signer writes. A calendar library would be a
//! dependency for thirty lines.

/// Reads `YYYYMMDDTHHMMSSZ` as seconds since the epoch.
///
/// `None` if it has another form or names no moment; leap seconds (`…60Z`) are not moments here, as
/// they are not for Unix.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0_u64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    let days = days_before(year) - days_before(1970) + months + day - 1;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Writes seconds since the epoch as `YYYYMMDDTHHMMSSZ`.
pub(crate) fn format(epoch: u64) -> String {
    let (days, rest) = (epoch / 86_400, epoch % 86_400);
    // 366 days to the year never overshoots; from there it is at most a few steps.
    let mut year = 1970 + days / 366;
    while days_before(year + 1) - days_before(1970) <= days {
        year += 1;
    }
    let mut day = days - (days_before(year) - days_before(1970));
    let mut month = 1;
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", day + 1)
}

/// Days from the year 1 to the first of January of `year`, in the Gregorian calendar.
fn days_before(year: u64) -> u64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests;
