//! Replies of gateways, and calls as the sandbox reads them.

use passync::model::Verdict;
use passync::wire::crypto::Signer;
use passync::wire::setting::no_vault;
use passync::wire::{Answer, DIALECTS, Dialect, Reply, Request};

use super::harness::{Dice, fuzz, kind_of, print_of, suite};

/// Every dialect, and the forms that read replies in their own way.
fn dialects() -> Vec<Box<dyn Dialect>> {
    let forms = [
        ("alipayhk-card", "merchant_id = 'M1'\nclient_id = 'C1'"),
        ("intl-pass", "merchant_id = 'M1'\nclient_id = 'C1'\nallow_update = true"),
        ("marketing-card", "app_id = '2014072300007148'"),
        ("marketing-card", "app_id = '2014072300007148'\ncharset = 'GBK'"),
        ("marketing-card", "app_id = '2014072300007148'\nformat = 'xml'"),
    ];
    let open = |(name, table): (&str, &str)| {
        let entry = DIALECTS.iter().find(|entry| entry.name == name).unwrap();
        entry.open(&toml::from_str(table).unwrap(), &no_vault).unwrap()
    };
    forms.into_iter().map(open).collect()
}

/// A reply as bytes: status, headers, body. What does not read as one is a body alone.
fn written(reply: &Reply) -> Vec<u8> {
    let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    [format!("{}\n{headers}\n", reply.status).as_bytes(), &reply.body].concat()
}

fn read(bytes: &[u8]) -> Reply {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((&b""[..], bytes), |end| (&bytes[..end], &bytes[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or(200);
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Reply { status, headers: headers.collect(), body: body.to_vec() }
}

/// Ten minutes found nothing that panicked, hung, or was believed against its signature.
#[test]
fn reply() {
    let dialects = dialects();
    let platform = Signer::generate(2048).unwrap();
    let keys = [platform.public()];
    let now_ms = 1_767_312_000_000;
    let mut corpus = Vec::new();
    for dialect in &dialects {
        let asked = dialect.request(b"{}", now_ms, &platform);
        for entry in DIALECTS.iter().filter(|entry| entry.name == dialect.name()) {
            for code in entry.codes.iter().filter(|code| code.verdict != Verdict::Applied) {
                let answer = Answer {
                    code: code.code.to_owned(),
                    status: code.status.to_owned(),
                    message: "no { \"sign\" } \\/ 金".to_owned(),
                    trace_id: "t1".to_owned(),
                };
                corpus.push(written(&dialect.write_reply(&asked, &answer, now_ms, Some(&platform))));
            }
        }
    }
    // What others have recorded, signed by keys that are not ours: never believed.
    corpus.extend([suite("vectors/gw_resp"), suite("vectors/hk")].concat());
    corpus.extend(suite("suites/json-test-suite/test_parsing").into_iter().filter(|text| text.len() < 4096));
    let words: [&[u8]; 22] = [
        b"SUCCESS",
        b"\"S\"",
        b"\"F\"",
        b"\"U\"",
        b"10000",
        b"sign",
        b"\"result\"",
        b"resultInfo",
        b"ResultInfo",
        b"resultCode",
        b"resultStatus",
        b"alipay_marketing_card_update_response",
        b"error_response",
        b"result_code",
        b"sub_code",
        b"{",
        b"}",
        b"\\/",
        b"\\u0022",
        b"\xc7\x5c",
        b"<sign>",
        b"\n\n",
    ];
    fuzz("reply", corpus, &words, |bytes, dice| {
        let reply = read(bytes);
        let dialect = dice.pick(&dialects);
        let reading = dialect.reply(&reply, &keys);
        assert_ne!(reading.verdict, Verdict::Applied, "{}: no success was ever signed", dialect.name());
        print_of((dialect.name(), format!("{:?}", reading.verdict), reading.verified, kind_of(&reading.message)))
    });
}

/// Ten minutes found nothing that panicked, hung, or was believed against its signature.
#[test]
fn call() {
    let dialects = dialects();
    let client = Signer::generate(2048).unwrap();
    let key = client.public();
    let bodies = suite("vectors/hk");
    let signed: Vec<(usize, Request)> = dialects
        .iter()
        .enumerate()
        .flat_map(|(at, dialect)| {
            let body = |text: &[u8]| (at, dialect.request(text, 1_767_312_000_000, &client));
            bodies.iter().filter(|text| text.starts_with(b"{")).map(|text| body(text)).collect::<Vec<_>>()
        })
        .collect();
    if signed.is_empty() {
        return;
    }
    let corpus: Vec<Vec<u8>> = signed.iter().map(|(_, request)| request.body.clone()).collect();
    fuzz("call", corpus, &[b"merchantId", b"passId", b"UPDATE", b"biz_content=", b"%7B", b"&", b"="], |bytes, dice| {
        let (at, original) = dice.pick(&signed);
        let mut request = Request { body: bytes.to_vec(), ..original.clone() };
        if dice.below(4) == 0 {
            mangle(&mut request, dice);
        }
        match dialects[*at].read_call(&request, &key) {
            Ok(_) => {
                assert_eq!(request.body, original.body, "only what was signed is believed");
                0
            }
            Err(fault) => print_of(kind_of(&fault.to_string())),
        }
    });
}

fn mangle(request: &mut Request, dice: &mut Dice) {
    let at = dice.below(request.target.len());
    if request.target.is_char_boundary(at) && dice.below(2) == 0 {
        request.target.truncate(at);
    } else if let Some(header) = (!request.headers.is_empty()).then(|| dice.below(request.headers.len())) {
        request.headers.remove(header);
    }
}
