-- The ledger: the durable record of bills, cards and runs. Keys of cards are 128-bit digests (model/digest.rs); those of
-- bills begin with where their numbers lie (model/bill_id.rs).
-- The hot path only appends, to `intents` and `journal`; bills and cards are looked up and merged in key order.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('id', lower(hex(randomblob(16)))); -- whose a log is (ledger/sound.rs)

CREATE TABLE runs (
    ordinal INTEGER PRIMARY KEY,      -- a part of every place: it never changes
    id TEXT NOT NULL UNIQUE,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,               -- run | replay | import
    state TEXT NOT NULL,              -- interrupted (no manifest yet) | closed
    started_ms INTEGER NOT NULL,
    closed_ms INTEGER,
    exit INTEGER,
    inputs TEXT NOT NULL,             -- one digest over the inputs' digests
    first_seq INTEGER NOT NULL,       -- its records in `journal` begin here
    journal_from INTEGER NOT NULL,    -- what its present plan knows of begins here,
    intents_from INTEGER NOT NULL,    -- and here: earlier parts were folded before it was made
    epoch INTEGER NOT NULL,           -- folds, answers, prunings that the plan knew of: a later one makes it stale; -1: folded itself
    detail TEXT NOT NULL,             -- JSON: inputs, settings in force, flags
    summary TEXT                      -- JSON: the manifest
);
CREATE INDEX runs_of_job ON runs (job, ordinal);
CREATE INDEX runs_of_inputs ON runs (inputs);

CREATE TABLE bills (
    key BLOB PRIMARY KEY,
    bill_no TEXT,
    card BLOB NOT NULL,
    card_no TEXT NOT NULL,
    content BLOB NOT NULL,
    occurred_ms INTEGER NOT NULL,     -- these five: the place
    sequence INTEGER NOT NULL,
    run INTEGER NOT NULL,
    source INTEGER NOT NULL,
    line INTEGER NOT NULL,
    past INTEGER NOT NULL,            -- core::history::Past
    closing INTEGER NOT NULL,
    doubt INTEGER NOT NULL,           -- attempts in doubt, of all runs
    last_run INTEGER NOT NULL,        -- the run that settled it, and its row there
    last_row INTEGER NOT NULL,
    settled_ms INTEGER NOT NULL,
    code TEXT NOT NULL,
    outcome TEXT NOT NULL,
    dropped TEXT,                     -- JSON names: members that the stored revision leaves out
    members TEXT,                     -- JSON [name, value]: while open or possible
    body BLOB                         -- the frozen bytes, until settled for good
) WITHOUT ROWID;
-- Open or possible bills are few: who is still unfinished, and what may stand on a card without proof. Not as `IN`, for which
-- a table would be built with every bill that is written.
CREATE INDEX bills_unproved ON bills (card) WHERE past = 1 OR past = 2 OR past = 4;

CREATE TABLE cards (
    key BLOB PRIMARY KEY,
    card_no TEXT NOT NULL,
    state BLOB NOT NULL               -- per member the newest confirmed place and value; closed (ledger/cards.rs)
) WITHOUT ROWID;

CREATE TABLE intents (
    seq INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    settled INTEGER NOT NULL,         -- 1: a Settled, 0: an Attempt
    data BLOB NOT NULL                -- postcard
);

CREATE TABLE quota (
    scope TEXT PRIMARY KEY,           -- gateway and client
    busy INTEGER NOT NULL,            -- a process sends, or died sending
    boot TEXT NOT NULL,
    ended_ns INTEGER NOT NULL         -- CLOCK_BOOTTIME: the last exchange, and waits for earlier ones, ended
) WITHOUT ROWID;

CREATE TABLE answers (                -- what persons booked with `ledger settle`
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    bill BLOB NOT NULL,
    answer TEXT NOT NULL,
    reason TEXT NOT NULL
);
