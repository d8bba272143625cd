//! `LIKE`.

/// Whether a text fits a pattern, in which `%` is any text and `_` any character.
pub(super) fn matches(text: &str, pattern: &str, escape: Option<char>, fold: bool) -> bool {
    let folded = |text: &str| if fold { text.to_lowercase() } else { text.to_owned() };
    let text: Vec<char> = folded(text).chars().collect();
    let mut pieces = Vec::new();
    let pattern = folded(pattern);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            letter if Some(letter) == escape => Piece::Letter(letters.next().unwrap_or(letter)),
            '%' => Piece::Any,
            '_' => Piece::One,
            letter => Piece::Letter(letter),
        });
    }
    // Where to continue when the last `%` takes one more character.
    let (mut at, mut piece, mut again) = (0, 0, None);
    while at < text.len() {
        match pieces.get(piece) {
            Some(Piece::Any) => {
                again = Some((at, piece));
                piece += 1;
            }
            Some(Piece::One) => (at, piece) = (at + 1, piece + 1),
            Some(Piece::Letter(letter)) if *letter == text[at] => (at, piece) = (at + 1, piece + 1),
            _ => match again {
                Some((from, any)) => {
                    again = Some((from + 1, any));
                    (at, piece) = (from + 1, any + 1);
                }
                None => return false,
            },
        }
    }
    pieces.iter().skip(piece).all(|piece| matches!(piece, Piece::Any))
}

enum Piece {
    Any,
    One,
    Letter(char),
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (text, pattern, fits) in [
            ("", "", true),
            ("", "%", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("abcabd", "%ab_", true),
            ("a%c", "a!%c", true),
            ("abc", "a!%c", false),
            ("ABC", "abc", false),
        ] {
            assert_eq!(matches(text, pattern, Some('!'), false), fits, "{text} LIKE {pattern}");
        }
        assert!(matches("ABC", "a%C", None, true));
    }
}
