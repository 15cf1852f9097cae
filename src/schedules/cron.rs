//! `cron(minutes hours day-of-month month day-of-week year)`: AWS's six fields, which are Quartz's
//! without seconds.
//!
//! ```text
//!   minutes       0-59               , - * /
//!   hours         0-23               , - * /
//!   day of month  1-31               , - * / ? L W
//!   month         1-12, JAN-DEC      , - * /
//!   day of week   1-7,  SUN-SAT      , - * / ? L #
//!   year          1970-2199          , - * /
//! ```
//!
//! Exactly one of the two fields of days is `?`. `L`, `W` and `#` stand alone in their field, as in
//! Quartz. A range whose end is before its start goes round (`22-2`), but for years. A parsed field is a
//! set of bits; finding the next match is a search for a bit in six of them.

use jiff::civil::{Date, DateTime, Time};

/// The first year there is (the documentation of AWS).
const FIRST_YEAR: i16 = 1970;
/// The last.
const LAST_YEAR: i16 = 2199;

/// Minutes at which something runs, by the clock on a wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: Bits,
    hours: Bits,
    days: Days,
    months: Bits,
    /// Bit 0 is [`FIRST_YEAR`].
    years: Bits,
}

/// Which days of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    /// These; bit 1 is the first.
    OfMonth(Bits),
    /// So many before the last: 0 is the last.
    BeforeLast(i8),
    /// The Monday to Friday nearest to a day, within the month.
    NearestTo(i8),
    /// The last Monday to Friday of the month.
    LastWorking,
    /// These of every week; bit 1 is Sunday.
    OfWeek(Bits),
    /// The last of the month that is such a day of the week.
    LastOfWeek(i8),
    /// The one that is the n-th such day of the week in the month.
    Nth(i8, i8),
}

/// A set of numbers below 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bits([u64; 4]);

/// What a field may hold.
struct Field {
    first: i16,
    last: i16,
    /// The largest step: Quartz refuses a longer one than the field is wide.
    step: i16,
    names: &'static [&'static str],
    /// Whether a range may end before it starts.
    wraps: bool,
}

const MINUTES: Field = Field { first: 0, last: 59, step: 59, names: &[], wraps: true };
const HOURS: Field = Field { first: 0, last: 23, step: 23, names: &[], wraps: true };
const DAYS: Field = Field { first: 1, last: 31, step: 31, names: &[], wraps: true };
const MONTHS: Field = Field {
    first: 1,
    last: 12,
    step: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    wraps: true,
};
const WEEKDAYS: Field = Field {
    first: 1,
    last: 7,
    step: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    wraps: true,
};
const YEARS: Field =
    Field { first: FIRST_YEAR, last: LAST_YEAR, step: 229, names: &[], wraps: false };

// === impl Cron ===

impl Cron {
    /// Reads what stands between the brackets; `None` if it is not of the form.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with(is_blank) || text.ends_with(is_blank) {
            return None;
        }
        let fields: Vec<&str> = text.split(is_blank).filter(|field| !field.is_empty()).collect();
        let &[minutes, hours, day, month, weekday, year] = fields.as_slice() else { return None };
        let days = match (day, weekday) {
            ("?", "?") => return None,
            (day, "?") => Days::of_month(day)?,
            ("?", weekday) => Days::of_week(weekday)?,
            _ => return None,
        };
        let mut years = Bits::default();
        for year in YEARS.numbers(year)? {
            years.set(year - FIRST_YEAR);
        }
        Some(Self {
            minutes: MINUTES.bits(minutes)?,
            hours: HOURS.bits(hours)?,
            days,
            months: MONTHS.bits(month)?,
            years,
        })
    }

    /// The first match at or after `from`, in whole minutes.
    pub fn next(&self, from: DateTime) -> Option<DateTime> {
        let (mut date, mut hour, mut minute) = (from.date(), from.hour(), from.minute());
        if from.second() > 0 || from.subsec_nanosecond() > 0 {
            minute += 1;
        }
        loop {
            // Within the day that is left, or else on the next that matches, from its beginning.
            if self.is_day(date)
                && let Some((hour, minute)) = self.time(hour, minute)
            {
                return Some(date.to_datetime(Time::new(hour, minute, 0, 0).ok()?));
            }
            date = self.day_after(date)?;
            (hour, minute) = (0, 0);
        }
    }

    /// The first hour and minute at or after these on a day.
    fn time(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hours.has(i16::from(hour))
            && let Some(minute) = self.minutes.at_least(i16::from(minute))
        {
            return Some((hour, minute));
        }
        let hour = self.hours.at_least(i16::from(hour) + 1)?;
        Some((hour, self.minutes.at_least(0)?))
    }

    fn is_day(&self, date: Date) -> bool {
        self.has_year(date.year())
            && self.months.has(i16::from(date.month()))
            && self.days.of(date.first_of_month()).has(i16::from(date.day()))
    }

    fn has_year(&self, year: i16) -> bool {
        (FIRST_YEAR..=LAST_YEAR).contains(&year) && self.years.has(year - FIRST_YEAR)
    }

    /// The first day after `date` that matches.
    fn day_after(&self, date: Date) -> Option<Date> {
        let (mut year, mut month, mut from) = (date.year(), date.month(), date.day() + 1);
        if year < FIRST_YEAR {
            (year, month, from) = (FIRST_YEAR, 1, 1);
        }
        while year <= LAST_YEAR {
            if self.has_year(year) {
                while let Some(found) = self.months.at_least(i16::from(month)) {
                    if found != month {
                        (month, from) = (found, 1);
                    }
                    let first = Date::new(year, month, 1).ok()?;
                    if let Some(day) = self.days.of(first).at_least(i16::from(from)) {
                        return Date::new(year, month, day).ok();
                    }
                    (month, from) = (month + 1, 1);
                }
            }
            (year, month, from) = (year + 1, 1, 1);
        }
        None
    }
}

// === impl Days ===

impl Days {
    fn of_month(text: &str) -> Option<Self> {
        if let Some(rest) = strip_letter(text, 'L') {
            return match rest {
                "" => Some(Self::BeforeLast(0)),
                "W" | "w" => Some(Self::LastWorking),
                rest => match number(rest.strip_prefix('-')?)? {
                    // Thirty before the last is the first of a long month.
                    days @ 0..=30 => i8::try_from(days).ok().map(Self::BeforeLast),
                    _ => None,
                },
            };
        }
        if let Some(day) = text.strip_suffix(['W', 'w']) {
            let day = DAYS.number(day)?;
            return i8::try_from(day).ok().map(Self::NearestTo);
        }
        DAYS.bits(text).map(Self::OfMonth)
    }

    fn of_week(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("L") {
            return WEEKDAYS.bits("7").map(Self::OfWeek);
        }
        if let Some((day, nth)) = text.split_once('#') {
            let (day, nth) = (WEEKDAYS.number(day)?, number(nth)?);
            let fits = (1..=5).contains(&nth);
            return fits
                .then(|| Some(Self::Nth(i8::try_from(day).ok()?, i8::try_from(nth).ok()?)))
                .flatten();
        }
        if let Some(day) = text.strip_suffix(['L', 'l']) {
            return i8::try_from(WEEKDAYS.number(day)?).ok().map(Self::LastOfWeek);
        }
        WEEKDAYS.bits(text).map(Self::OfWeek)
    }

    /// The days of the month that begins with `first`.
    fn of(self, first: Date) -> Bits {
        let last = first.days_in_month();
        let mut bits = Bits::default();
        let weekday = |day: i8| (first.weekday().to_sunday_zero_offset() + day - 1) % 7 + 1;
        match self {
            Self::OfMonth(days) => {
                (1..=last)
                    .map(i16::from)
                    .filter(|day| days.has(*day))
                    .for_each(|day| bits.set(day));
            }
            Self::BeforeLast(days) if days < last => bits.set(i16::from(last - days)),
            Self::BeforeLast(_) => {}
            // In a month without that day, the nearest to its last one, as Quartz has it.
            Self::NearestTo(day) => bits.set(i16::from(nearest(day.min(last), last, weekday))),
            Self::LastWorking => bits.set(i16::from(nearest(last, last, weekday))),
            Self::OfWeek(days) => (1..=last)
                .filter(|day| days.has(i16::from(weekday(*day))))
                .for_each(|day| bits.set(i16::from(day))),
            Self::LastOfWeek(of_week) => {
                let day = (1..=last).rev().find(|day| weekday(*day) == of_week);
                day.into_iter().for_each(|day| bits.set(i16::from(day)));
            }
            Self::Nth(of_week, nth) => {
                let mut all = (1..=last).filter(|day| weekday(*day) == of_week);
                let day = usize::try_from(nth - 1).ok().and_then(|nth| all.nth(nth));
                day.into_iter().for_each(|day| bits.set(i16::from(day)));
            }
        }
        bits
    }
}

/// The Monday to Friday nearest to a day, not leaving the month.
fn nearest(day: i8, last: i8, weekday: impl Fn(i8) -> i8) -> i8 {
    match weekday(day) {
        // Sunday.
        1 if day == last => day - 2,
        1 => day + 1,
        // Saturday.
        7 if day == 1 => day + 2,
        7 => day - 1,
        _ => day,
    }
}

// === impl Field ===

impl Field {
    fn bits(&self, text: &str) -> Option<Bits> {
        let mut bits = Bits::default();
        self.numbers(text)?.into_iter().for_each(|number| bits.set(number));
        Some(bits)
    }

    /// All numbers that a list of single ones, ranges and steps stands for.
    fn numbers(&self, text: &str) -> Option<Vec<i16>> {
        let mut numbers = Vec::new();
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                None => (item, None),
                Some((range, step)) => (range, Some(number(step)?)),
            };
            if step.is_some_and(|step| !(1..=self.step).contains(&step)) {
                return None;
            }
            let (from, to) = match (range, range.split_once('-'), step) {
                ("*", _, _) => (self.first, self.last),
                (_, Some((from, to)), _) => (self.number(from)?, self.number(to)?),
                (from, None, None) => (self.number(from)?, self.number(from)?),
                (from, None, Some(_)) => (self.number(from)?, self.last),
            };
            let width = self.last - self.first + 1;
            let to = match to < from {
                false => to,
                true if self.wraps => to + width,
                true => return None,
            };
            let step = usize::try_from(step.unwrap_or(1)).ok()?;
            let back = |number: i16| (number - self.first) % width + self.first;
            numbers.extend((from..=to).step_by(step).map(back));
        }
        Some(numbers)
    }

    /// One number or name.
    fn number(&self, text: &str) -> Option<i16> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(at) = named {
            return i16::try_from(at).ok().map(|at| at + self.first);
        }
        number(text).filter(|number| (self.first..=self.last).contains(number))
    }
}

// === impl Bits ===

impl Bits {
    fn set(&mut self, number: i16) {
        if let Ok(number @ 0..=255) = usize::try_from(number) {
            self.0[number / 64] |= 1 << (number % 64);
        }
    }

    fn has(self, number: i16) -> bool {
        usize::try_from(number)
            .is_ok_and(|number| number < 256 && self.0[number / 64] >> (number % 64) & 1 == 1)
    }

    /// The smallest that is not below `least`.
    fn at_least(self, least: i16) -> Option<i8> {
        (least..=127).find(|number| self.has(*number)).and_then(|number| i8::try_from(number).ok())
    }
}

/// One to four digits.
fn number(text: &str) -> Option<i16> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn strip_letter(text: &str, letter: char) -> Option<&str> {
    text.strip_prefix([letter, letter.to_ascii_lowercase()])
}

/// What fields are separated by.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

#[cfg(test)]
mod tests;
