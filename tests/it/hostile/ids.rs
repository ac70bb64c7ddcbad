//! Damaged ids and the real binary: what `check` and `run` say of them, and how they end.

use super::Bench;

const HEADER: &str = "bill_no,pass_id,user_id,points\n";

fn row(bill: &str, at: usize) -> String {
    format!("{bill},card-{at},2088{:012},{at}\n", at * 7919)
}

fn file(bills: impl IntoIterator<Item = String>) -> String {
    let rows: String = bills.into_iter().enumerate().map(|(at, bill)| row(&bill, at)).collect();
    format!("{HEADER}{rows}")
}

fn whole(at: usize) -> String {
    format!("26060103100000320{:010}", (at + 1) * 104_729)
}

#[test]
fn a_few_damaged_ids_cost_their_rows_and_many_the_file() {
    let bench = Bench::new("in.csv", "");
    let damaged = |count: usize| file((0..300).map(|at| if at < count { "2.60601E+26".to_owned() } else { whole(at) }));
    bench.write("in.csv", damaged(2));
    let (exit, said) = bench.said(&["check", "job.toml"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("R012 id-scientific-notation") && said.contains("\"2.60601E+26\""), "{said}");
    assert!(said.contains("in.csv:2:") && said.contains("column    `bill_no`"), "{said}");

    bench.write("in.csv", damaged(10));
    let (exit, said) = bench.said(&["run", "job.toml"]);
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("10 rows are not valid"), "{said}");
}

#[test]
fn a_rounded_column_is_refused_with_examples_unless_a_person_vouches_for_it() {
    let bench = Bench::new("in.csv", "");
    bench.write("in.csv", file((0..60).map(|at| format!("{}00", 260_601_031_000_003_u64 + at * 1_013))));
    for command in ["check", "run"] {
        let (exit, said) = bench.said(&[command, "job.toml"]);
        assert_eq!(exit, 3, "{said}");
        assert!(said.contains("in.csv: column `bill_no`: suspect ids: 60 of 60 different ids"), "{said}");
        assert!(said.contains("26060103100000300"), "{said}");
    }
    let (exit, said) = bench.said(&["check", "job.toml", "--set", "input.verbatim=[\"bill_no\"]"]);
    assert_eq!(exit, 0, "{said}");
}

#[test]
fn ids_that_do_not_fit_their_column_are_shown_in_place() {
    let bench = Bench::new("in.csv", "");
    let bills = |at: usize| if at == 150 { whole(at)[1..].to_owned() } else { whole(at) };
    bench.write("in.csv", file((0..300).map(bills)));
    let (exit, said) = bench.said(&["check", "job.toml"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("in.csv:152: R015 id-width, bill 6060103100000320"), "{said}");
    assert!(said.contains("26 characters, in a column whose ids have 27 digits"), "{said}");
}

#[test]
fn times_that_lie_ahead_are_told() {
    let bench = Bench::new("in.csv", "");
    let rows = "b1,c1,5,u,2026-01-02 10:00:00\nb2,c2,5,u,2206-01-02 10:00:00\n";
    bench.write("in.csv", format!("bill_no,pass_id,points,user_id,occurred_at\n{rows}"));
    let (exit, said) = bench.said(&["check", "job.toml"]);
    assert_eq!(exit, 0, "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("1 row of the input have an `occurred_at` that lies ahead, up to 2206-01-02T02:00:00.000Z"),
        "{said}"
    );
}

#[test]
fn a_file_without_a_last_line_end_is_read_with_a_warning_unless_it_is_cut() {
    let bench = Bench::new("in.csv", "");
    let text = format!(
        "bill_no,pass_id,points,user_id\n{}",
        "b1,c1,5,2088000000000001\nb2,c2,5,2088000000000002\nb3,c3,5,2088000000000003"
    );
    bench.write("in.csv", &text);
    let (exit, said) = bench.said(&["check", "job.toml"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("in.csv does not end its last line"), "{said}");
    bench.write("in.csv", &text[..text.len() - 3]);
    let (exit, said) = bench.said(&["check", "job.toml"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("R007 cut-off"), "{said}");
}
