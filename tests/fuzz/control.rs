//! The control file.

use passync::io::control::{Counted, compare, parse};

use super::harness::{fuzz, kind_of, print_of};

/// Ten minutes found nothing that panicked or hung.
#[test]
fn control() {
    let corpus = [
        &b"rows=3\nsum_last_changed_points=12.50\nhash_total_bill_no=7\nsize=120\nsha256=00\n"[..],
        b"# made by an exporter\nfile = a.csv\nrows = 3\n\nfile = b.csv\nrows = 4\n",
        b"{\"rows\":3,\"sum_last_changed_points\":\"12.50\",\"size\":120}",
        b"{\"files\":[{\"file\":\"a.csv\",\"rows\":3},{\"file\":\"b.csv\",\"rows\":4}]}",
        b"file,rows,sum_last_changed_points,hash_total_bill_no,size,sha256\na.csv,3,12.5,7,120,\n",
        b"\xef\xbb\xbfrows;size\r\n3;120\r\n",
    ];
    let words: [&[u8]; 14] = [
        b"rows",
        b"sum_last_changed_points",
        b"hash_total_bill_no",
        b"sha256",
        b"size",
        b"file",
        b"=",
        b"\n",
        b",",
        b"\"",
        b"18446744073709551616",
        b"-1",
        b"1e9",
        b"{",
    ];
    let corpus = corpus.into_iter().map(<[u8]>::to_vec).collect();
    fuzz("control", corpus, &words, |bytes, _| match parse(bytes) {
        Ok(control) => {
            for stated in &control.entries {
                let compared = compare("a.ctl".to_owned(), vec!["a.csv".to_owned()], stated, &Counted::default());
                assert!(compared.agrees() || compared.items.iter().any(|item| !item.agrees));
            }
            print_of((
                control.entries.len().min(9),
                control.unknown.len().min(9),
                control.entries.first().map(passync::io::control::Stated::is_empty),
            ))
        }
        Err(fault) => print_of(kind_of(&fault.to_string())),
    });
}
