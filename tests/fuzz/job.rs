//! The job file.

use std::path::Path;

use passync::io::job::{self, Overrides};

use super::harness::{files, fuzz, kind_of, print_of};

/// Ten minutes found nothing that panicked or hung.
#[test]
fn job() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus: Vec<Vec<u8>> =
        files(&root.join("jobs")).into_iter().filter(|text| text.windows(9).any(|word| word == b"[gateway]")).collect();
    let defaults = std::fs::read(root.join("src/io/job/defaults.toml")).unwrap();
    corpus.push(defaults.clone());
    let keys: Vec<&[u8]> = defaults
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').next())
        .filter(|key| !key.is_empty() && key[0] != b'#')
        .collect();
    let values: [&[u8]; 24] = [
        b"\"\"",
        b"0",
        b"-1",
        b"9223372036854775807",
        b"1e999",
        b"nan",
        b"true",
        b"[]",
        b"{}",
        b"[[\"\"]]",
        b"\"100%\"",
        b"\"-1%\"",
        b"\"1/0s\"",
        b"\"99999999999h\"",
        b"\"{date}\"",
        b"\"file:\"",
        b"\"env:X\"",
        b"\"25:61\"",
        b"'''",
        b"\"\"\"",
        b"\\u0000",
        b".",
        b"=",
        b"\"\xe9\x87\x91\"",
    ];
    let words = [keys, values.to_vec()].concat();
    fuzz("job", corpus, &words, |bytes, dice| {
        std::fs::write(&path, bytes).unwrap();
        let set = if dice.below(4) == 0 {
            let word =
                |dice: &mut super::harness::Dice| String::from_utf8_lossy(words[dice.below(words.len())]).into_owned();
            vec![format!("{}.{}={}", word(dice), word(dice), word(dice))]
        } else {
            Vec::new()
        };
        match job::load(&path, &Overrides { set, ..Overrides::default() }) {
            Ok(settings) => {
                let again = job::recorded(&settings.in_force, folder.path())
                    .unwrap_or_else(|fault| panic!("what a manifest records loads again: {fault}"));
                assert_eq!(again.in_force, settings.in_force);
                print_of(settings.in_force.to_string().len() / 16)
            }
            Err(fault) => {
                let (text, _) = (fault.to_string(), fault.render(false));
                assert!(!text.is_empty());
                print_of(kind_of(&text))
            }
        }
    });
}
