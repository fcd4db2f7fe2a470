//! Which passwords are guessed first. Lists of common passwords have few with twelve or more characters, and nearly all
//! of them are put together from common words, runs on the keyboard, repetitions and years; so these are what is looked
//! for, whatever their case and with the usual digits for letters.

/// Words that common passwords consist of, and rows of keys that are no straight run.
const COMMON: &str = include_str!("common_words.txt");
/// Runs in either direction are guessed.
const RUNS: [&str; 5] =
    ["abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"];
/// The shortest part that counts as a run.
const MIN_RUN: usize = 3;
/// A password with no more characters than these, besides what is guessed, is guessed too.
const FREE_CHARS: usize = 4;

/// Whether a password is among the first that are guessed. `own_words` are those that its user is known by.
pub(super) fn is_guessable(password: &str, own_words: &[&str]) -> bool {
    let chars: Vec<char> = password.to_lowercase().chars().collect();
    let own: Vec<String> =
        own_words.iter().map(|word| word.to_lowercase()).filter(|word| word.len() >= 3).collect();
    let words: Vec<Vec<char>> = COMMON
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .chain(own.iter().map(String::as_str))
        .map(|word| word.chars().collect())
        .collect();
    // At each place: how many characters, at least, are not guessed from there to the end.
    let mut free = vec![0; chars.len() + 1];
    for start in (0..chars.len()).rev() {
        let rest = &chars[start..];
        let lengths = words.iter().filter(|word| is_prefix(word, rest)).map(Vec::len);
        let year = is_year(rest).then_some(4);
        let runs = MIN_RUN..=longest_run(rest);
        let guessed = lengths.chain(year).chain(runs).map(|length| free[start + length]).min();
        let skipped = free[start + 1] + 1;
        free[start] = guessed.unwrap_or(skipped).min(skipped);
    }
    free[0] <= FREE_CHARS || is_repetition(&chars)
}

fn is_prefix(word: &[char], text: &[char]) -> bool {
    text.len() >= word.len() && word.iter().zip(text).all(|(word, typed)| stands_for(*typed, *word))
}

/// Whether a character is a letter, or what people type for it.
fn stands_for(typed: char, letter: char) -> bool {
    let others = match letter {
        'a' => "4@",
        'b' => "8",
        'e' => "3",
        'g' => "9",
        'i' => "1!|",
        'l' => "1|",
        'o' => "0",
        's' => "5$",
        't' => "7+",
        'z' => "2",
        _ => "",
    };
    typed == letter || others.contains(typed)
}

fn is_year(text: &[char]) -> bool {
    let year = text.get(..4).filter(|year| year.iter().all(char::is_ascii_digit));
    year.is_some_and(|year| matches!(year[..2], ['1', '9'] | ['2', '0']))
}

/// How many characters at the start are the same one, or follow each other on the keyboard or in the alphabet.
fn longest_run(text: &[char]) -> usize {
    let Some(first) = text.first() else { return 0 };
    let same = text.iter().take_while(|c| *c == first).count();
    let along = |run: &mut dyn Iterator<Item = char>| {
        let rest: Vec<char> = run.skip_while(|c| c != first).collect();
        rest.iter().zip(text).take_while(|(run, typed)| run == typed).count()
    };
    let runs = RUNS.iter().map(|run| along(&mut run.chars()).max(along(&mut run.chars().rev())));
    runs.max().unwrap_or(0).max(same)
}

/// Whether a short part is repeated to the end.
fn is_repetition(chars: &[char]) -> bool {
    (1..=6).any(|period| {
        period * 2 <= chars.len() && chars.iter().zip(&chars[period..]).all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guessed_first_is_refused() {
        for password in [
            "password1234",
            "Passw0rd2024!",
            "P@$$w0rdP@$$w0rd",
            "qwertyuiop12",
            "1qaz2wsx3edc",
            "1q2w3e4r5t6y",
            "123456789012",
            "987654321098",
            "aaaaaaaaaaaa",
            "abcabcabcabcabc",
            "iloveyou1999!!",
            "Welcome2Onceward",
            "onceward-admin1",
            "letmein letmein",
            "SummerWinter2025",
            "k7!xk7!xk7!xk7!x",
            "alice.smith-2024",
        ] {
            assert!(is_guessable(password, &["onceward", "alice.smith"]), "{password}");
        }
    }

    #[test]
    fn a_phrase_of_less_common_words_is_accepted() {
        for password in [
            "correct horse battery staple",
            "seven purple walruses",
            "Tr0ub4dor&3-mango",
            "kX9#vQ2mPz7w",
            "ein gutes Fahrrad rostet",
            "пароль который длинный",
            "dragon 8371 tulip 2940",
        ] {
            assert!(!is_guessable(password, &["onceward", "alice"]), "{password}");
        }
    }
}
