//! Where a listing goes: which page is asked for next, and when it must not go on. Pure.

use std::collections::HashSet;

use super::read::{Next, Says};
use crate::config::{Counting, Paging, Style};
use crate::error::{Error, Kind, Result};

/// A longer token or address is nothing that a request could carry.
const LONGEST: usize = 60_000;

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The first one, as the call says.
    First,
    /// The one with this number, or the items from this number on.
    Number(u64),
    /// The one with this token: a JSON string or number.
    Mark(String),
    /// The one at this address.
    Address(String),
}

/// How far a listing has come.
#[derive(Clone, Debug)]
pub struct Course {
    /// The page that comes next; None: there is none.
    pub turn: Option<Turn>,
    /// Pages so far, those of earlier calls included.
    pub pages: u64,
    /// Records of whole pages so far, those of earlier calls included.
    pub records: u64,
    /// What identifies the items of the page before.
    pub last: Option<u128>,
    /// Empty pages in a row.
    empty: u32,
    /// Tokens and addresses that were asked for.
    seen: HashSet<u128>,
}

/// What a course needs to know of a page.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Items that the server has sent.
    pub came: u64,
    /// What identifies them.
    pub hash: u128,
    /// What it says of the next page. An address is whole, and may be asked for.
    pub says: Says,
}

impl Course {
    /// From the page with this number on, or from the first.
    pub fn new(paging: &Paging, number: Option<u64>) -> Course {
        let turn = match &paging.style {
            Style::Numbers(counting) | Style::Offsets(counting) => {
                Turn::Number(number.unwrap_or(counting.first))
            }
            Style::Marks { initial: Some(initial), .. } => Turn::Mark(initial.clone()),
            Style::Marks { .. } | Style::Single => Turn::First,
        };
        Course::at(Some(turn), 0, 0, None)
    }

    /// From there on.
    pub fn at(turn: Option<Turn>, pages: u64, records: u64, last: Option<u128>) -> Course {
        let mut course = Course { turn, pages, records, last, empty: 0, seen: HashSet::new() };
        if let Some(turn) = course.turn.clone() {
            course.note(&turn);
        }
        course
    }

    /// The address of a page that was asked for without one: a link back to it is a circle, too.
    pub fn came_from(&mut self, address: &str) {
        self.seen.insert(hash(address.as_bytes()));
    }

    /// The pages that follow this one whatever its answer is, itself included; `most` of them.
    pub fn ahead(&self, paging: &Paging, most: u64) -> Vec<Turn> {
        let Some(turn) = &self.turn else { return Vec::new() };
        let step = match (&paging.style, turn) {
            (Style::Numbers(_), Turn::Number(_)) => 1,
            (Style::Offsets(Counting { size: Some((_, size)), .. }), Turn::Number(_)) => *size,
            _ => return vec![turn.clone()],
        };
        let Turn::Number(first) = turn else { return vec![turn.clone()] };
        (0..most.max(1)).map_while(|n| Some(Turn::Number(first.checked_add(n.checked_mul(step)?)?))).collect()
    }

    /// Is it a page that was not there just before?
    pub fn check(&self, came: u64, hash: u128) -> Result<()> {
        match came > 0 && self.last == Some(hash) {
            true => Err(lost("it has the same items as the page before: the server does not go on".into())),
            false => Ok(()),
        }
    }

    /// Goes on behind a page. What is told is worth a warning.
    pub fn take(&mut self, paging: &Paging, facts: &Facts) -> Result<Option<String>> {
        let Facts { came, hash, says } = facts;
        let Some(turn) = self.turn.clone() else { return Ok(None) };
        let mut warning = None;
        let next = match (&paging.style, &turn) {
            (Style::Single, _) => None,
            (Style::Numbers(counting), Turn::Number(number)) => {
                let pages = number.saturating_sub(counting.first).saturating_add(1);
                warning = told_total("page", pages, *came, says.total);
                self.counted(counting, facts, says.total == Some(pages), number.checked_add(1))
            }
            (Style::Offsets(counting), Turn::Number(offset)) => {
                // By what came, not by what was asked for: a server may have a limit of its own.
                let next = offset.checked_add(*came);
                warning = told_total("item", offset.saturating_add(*came), *came, says.total);
                self.counted(counting, facts, says.total.is_some() && says.total == next, next)
            }
            (Style::Marks { .. }, _) if says.has_more == Some(false) => None,
            (Style::Marks { .. }, _) => match &says.next {
                Some(Next::Mark(mark)) => Some(Turn::Mark(mark.clone())),
                Some(Next::Address(address)) => Some(Turn::Address(address.clone())),
                None if says.has_more == Some(true) => {
                    return Err(lost("it says that there is more (has_more_path), and not where".into()));
                }
                None => None,
            },
            (Style::Numbers(_) | Style::Offsets(_), _) => None,
        };
        if let Some(Turn::Mark(text) | Turn::Address(text)) = &next {
            if text.len() > LONGEST {
                let what = format!(
                    "the next page's token or address is {} bytes long; {LONGEST} at most",
                    text.len()
                );
                return Err(Error::new(Kind::TooLarge, what));
            }
            if self.seen.contains(&self::hash(text.as_bytes())) {
                let what = "the next page is one that was asked for already: the listing goes in a circle";
                return Err(lost(what.into()));
            }
        }
        self.empty = if *came == 0 { self.empty + 1 } else { 0 };
        // Nothing is lost here: behind so many, nobody can tell whether anything comes.
        if next.is_some() && self.empty > 0 && self.empty >= paging.max_empty_pages {
            let what =
                format!("{} pages in a row are empty, and there are more (max_empty_pages)", self.empty);
            return Err(lost(what));
        }
        if *came > 0 {
            self.last = Some(*hash);
        }
        self.pages += 1;
        self.records += came;
        if let Some(turn) = &next {
            self.note(turn);
        }
        self.turn = next;
        Ok(warning)
    }

    /// The number that follows, unless this page is the last one.
    fn counted(&self, counting: &Counting, facts: &Facts, is_over: bool, next: Option<u64>) -> Option<Turn> {
        let is_short =
            counting.ends_short && counting.size.as_ref().is_some_and(|(_, size)| facts.came < *size);
        let is_last = match facts.says.has_more {
            // The server's own word, also where a page is empty.
            Some(has_more) => !has_more,
            None => facts.came == 0 || is_short || is_over,
        };
        next.filter(|_| !is_last).map(Turn::Number)
    }

    fn note(&mut self, turn: &Turn) {
        if let Turn::Mark(text) | Turn::Address(text) = turn {
            self.seen.insert(hash(text.as_bytes()));
        }
    }
}

/// Tells bytes from others.
pub fn hash(bytes: &[u8]) -> u128 {
    twox_hash::XxHash3_128::oneshot(bytes)
}

fn lost(what: String) -> Error {
    Error::new(Kind::Pagination, what)
}

/// What is worth a warning of a total. One that is passed already is wrong, and ends nothing.
fn told_total(what: &str, at: u64, came: u64, total: Option<u64>) -> Option<String> {
    let total = total?;
    if came == 0 && at < total {
        return Some(format!(
            "the listing ended with an empty page at {what} {at}, although its total is {total}"
        ));
    }
    (came > 0 && at > total).then(|| format!("more came than the listing's total, which is {total}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Items, Mark, Way};
    use proptest::prelude::*;

    fn paging(style: Style) -> Paging {
        Paging { style, max_empty_pages: 3, items: Items::Whole, ..Paging::single() }
    }

    fn counting(first: u64, size: Option<u64>, ends_short: bool) -> Counting {
        let size = size.map(|n| ("n".to_owned(), n));
        Counting { param: "p".into(), first, size, total: None, ends_short }
    }

    fn marks() -> Paging {
        paging(Style::Marks { mark: Mark::Link, way: Way::Address, initial: None })
    }

    fn page(came: u64, hash: u128) -> Facts {
        Facts { came, hash, says: Says::default() }
    }

    fn to(came: u64, hash: u128, mark: &str) -> Facts {
        let next = (!mark.is_empty()).then(|| Next::Mark(mark.to_owned()));
        Facts { came, hash, says: Says { next, ..Says::default() } }
    }

    #[test]
    fn numbers_go_on_until_a_page_is_empty() {
        let paging = paging(Style::Numbers(counting(0, None, false)));
        let mut course = Course::new(&paging, None);
        for n in 0..5 {
            assert_eq!(course.turn, Some(Turn::Number(n)));
            course.take(&paging, &page(3, u128::from(n))).unwrap();
        }
        course.take(&paging, &page(0, 0)).unwrap();
        assert_eq!((course.turn, course.pages, course.records), (None, 6, 15));
    }

    #[test]
    fn offsets_go_on_by_what_came_and_not_by_what_was_asked_for() {
        let paging = paging(Style::Offsets(counting(0, Some(100), false)));
        let mut course = Course::new(&paging, None);
        course.take(&paging, &page(100, 1)).unwrap();
        course.take(&paging, &page(50, 2)).unwrap();
        assert_eq!(course.turn, Some(Turn::Number(150)));
    }

    #[test]
    fn a_short_page_is_the_last_one_only_where_that_is_said() {
        for (ends_short, turn) in [(true, None), (false, Some(Turn::Number(2)))] {
            let paging = paging(Style::Numbers(counting(1, Some(10), ends_short)));
            let mut course = Course::new(&paging, None);
            course.take(&paging, &page(9, 1)).unwrap();
            assert_eq!(course.turn, turn);
        }
    }

    #[test]
    fn a_total_ends_it_without_another_request_and_an_early_end_is_told() {
        let says = |total| Says { total: Some(total), ..Says::default() };
        let pages = paging(Style::Numbers(counting(1, None, false)));
        let mut course = Course::new(&pages, None);
        assert_eq!(course.take(&pages, &Facts { says: says(2), ..page(5, 1) }).unwrap(), None);
        assert_eq!(course.turn, Some(Turn::Number(2)));
        course.take(&pages, &Facts { says: says(2), ..page(5, 2) }).unwrap();
        assert_eq!(course.turn, None);
        let items = paging(Style::Offsets(counting(0, Some(5), false)));
        let mut course = Course::new(&items, None);
        course.take(&items, &Facts { says: says(12), ..page(5, 1) }).unwrap();
        let warning = course.take(&items, &Facts { says: says(12), ..page(0, 2) }).unwrap();
        assert!(warning.unwrap().contains("at item 5, although its total is 12"));
        assert_eq!(course.turn, None);
    }

    #[test]
    fn the_servers_word_about_more_counts_even_on_an_empty_page() {
        let says = |more| Says { has_more: Some(more), ..Says::default() };
        let paging = paging(Style::Numbers(counting(1, None, false)));
        let mut course = Course::new(&paging, None);
        course.take(&paging, &Facts { says: says(true), ..page(0, 0) }).unwrap();
        assert_eq!(course.turn, Some(Turn::Number(2)));
        course.take(&paging, &Facts { says: says(false), ..page(4, 1) }).unwrap();
        assert_eq!(course.turn, None);
        let mut course = Course::new(&marks(), None);
        let error = course.take(&marks(), &Facts { says: says(true), ..page(4, 1) }).unwrap_err();
        assert_eq!(error.kind(), Kind::Pagination);
    }

    #[test]
    fn a_circle_of_any_length_is_an_error() {
        for length in 1..6 {
            let mut course = Course::new(&marks(), None);
            let mut taken = 0;
            let error = (0..).find_map(|n| {
                taken = n;
                course.take(&marks(), &to(1, n, &format!("{}", n % length))).err()
            });
            assert_eq!(error.unwrap().kind(), Kind::Pagination);
            assert_eq!(taken, length);
        }
        let mut course = Course::new(&marks(), None);
        course.came_from("http://a/1");
        let back = Says { next: Some(Next::Address("http://a/1".into())), ..Says::default() };
        assert!(course.take(&marks(), &Facts { says: back, ..page(1, 1) }).is_err());
    }

    #[test]
    fn the_same_items_twice_in_a_row_are_an_error() {
        let paging = paging(Style::Numbers(counting(1, None, false)));
        let mut course = Course::new(&paging, None);
        course.take(&paging, &page(2, 7)).unwrap();
        assert_eq!(course.check(2, 7).unwrap_err().kind(), Kind::Pagination);
        assert!(course.check(2, 8).is_ok() && course.check(0, 7).is_ok());
        // Where a call went on, too.
        let course = Course::at(Some(Turn::Number(2)), 1, 2, Some(7));
        assert!(course.check(2, 7).is_err());
    }

    #[test]
    fn empty_pages_are_passed_over_up_to_a_number() {
        let mut course = Course::new(&marks(), None);
        for (n, mark) in ["a", "b"].iter().enumerate() {
            course.take(&marks(), &to(0, 0, mark)).unwrap();
            assert_eq!(course.pages, n as u64 + 1);
        }
        let error = course.take(&marks(), &to(0, 0, "c")).unwrap_err();
        assert!(error.message.contains("3 pages in a row"), "{}", error.message);
        // The last page may be empty.
        course.take(&marks(), &to(0, 0, "")).unwrap();
        assert_eq!(course.turn, None);
    }

    #[test]
    fn a_token_that_no_request_could_carry_is_too_large() {
        let mut course = Course::new(&marks(), None);
        let error = course.take(&marks(), &to(1, 1, &"x".repeat(1 << 20))).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
    }

    proptest! {
        #[test]
        fn what_is_ahead_is_what_comes_where_every_page_is_full(first in 0..1000u64, size in 1..50u64, most in 1..9u64) {
            for style in [Style::Numbers(counting(1, Some(size), false)), Style::Offsets(counting(0, Some(size), false))] {
                let paging = paging(style);
                let mut course = Course::new(&paging, Some(first));
                for (n, turn) in course.clone().ahead(&paging, most).into_iter().enumerate() {
                    prop_assert_eq!(course.turn.clone(), Some(turn));
                    course.take(&paging, &page(size, n as u128)).unwrap();
                }
                prop_assert_eq!(course.pages, most);
            }
        }
    }
}
