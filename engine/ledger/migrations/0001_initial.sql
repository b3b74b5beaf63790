-- The ledger's first schema. Reals are finite by CHECK; a NaN arrives as NULL and meets NOT NULL.

CREATE TABLE meta (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
  sha256 TEXT NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;

CREATE TABLE marks (
  account TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  equity_usd REAL NOT NULL CHECK (abs(equity_usd) < 9e999),
  nav REAL NOT NULL CHECK (abs(nav) < 9e999),
  units REAL NOT NULL CHECK (units >= 0 AND units < 9e999),
  exposure REAL NOT NULL CHECK (exposure >= 0 AND exposure < 9e999),
  cap_usd REAL NOT NULL CHECK (cap_usd >= 0 AND cap_usd < 9e999),
  gross_usd REAL NOT NULL CHECK (gross_usd >= 0 AND gross_usd < 9e999),
  estimated_marks INTEGER NOT NULL CHECK (estimated_marks >= 0),
  PRIMARY KEY (account, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE sleeve_marks (
  account TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  symbol TEXT NOT NULL,
  qty REAL NOT NULL CHECK (abs(qty) < 9e999),
  mark_price REAL NOT NULL CHECK (mark_price > 0 AND mark_price < 9e999),
  pnl_usd REAL NOT NULL CHECK (abs(pnl_usd) < 9e999),
  position REAL CHECK (position BETWEEN -1 AND 1),
  PRIMARY KEY (account, at_ms, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE fills (
  fill_id TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  symbol TEXT NOT NULL,
  side INTEGER NOT NULL CHECK (side IN (-1, 1)),
  qty REAL NOT NULL CHECK (qty > 0 AND qty < 9e999),
  price REAL NOT NULL CHECK (price > 0 AND price < 9e999),
  ref_price REAL NOT NULL CHECK (ref_price > 0 AND ref_price < 9e999),
  ref_kind TEXT NOT NULL CHECK (ref_kind IN ('bar_open', 'stop', 'mark')),
  fee_usd REAL NOT NULL CHECK (abs(fee_usd) < 9e999),
  parent_id TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX fills_in_time ON fills (account, at_ms);

CREATE TABLE funding (
  payment_id TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  symbol TEXT NOT NULL,
  qty REAL NOT NULL CHECK (abs(qty) < 9e999),
  mark_price REAL NOT NULL CHECK (mark_price > 0 AND mark_price < 9e999),
  rate REAL NOT NULL CHECK (abs(rate) < 9e999),
  hours REAL NOT NULL CHECK (hours > 0 AND hours < 9e999),
  amount_usd REAL NOT NULL CHECK (abs(amount_usd) < 9e999),
  assumed INTEGER NOT NULL CHECK (assumed IN (0, 1))
) STRICT;
CREATE INDEX funding_in_time ON funding (account, at_ms);

CREATE TABLE cash_flows (
  flow_id TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  amount_usd REAL NOT NULL CHECK (abs(amount_usd) < 9e999),
  kind TEXT NOT NULL CHECK (kind IN ('deposit', 'withdrawal', 'virtual')),
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX cash_flows_in_time ON cash_flows (account, at_ms);

CREATE TABLE facts (
  at_ms INTEGER NOT NULL PRIMARY KEY,
  day_close INTEGER NOT NULL CHECK (day_close IN (0, 1)),
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
  document TEXT NOT NULL
) STRICT;
CREATE INDEX facts_at_day_close ON facts (at_ms) WHERE day_close = 1;

CREATE TABLE verdicts (
  verdict_id TEXT NOT NULL PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  policy TEXT NOT NULL,
  outcome TEXT NOT NULL,
  policy_sha256 TEXT NOT NULL,
  config_sha256 TEXT NOT NULL,
  facts_sha256 TEXT NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX verdicts_in_time ON verdicts (at_ms);

CREATE TABLE events (
  event_id TEXT NOT NULL PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX events_in_time ON events (kind, at_ms);

-- Append-only. The insert triggers are there because INSERT OR REPLACE deletes without firing delete triggers.

CREATE TRIGGER documents_never_replaced BEFORE INSERT ON documents WHEN EXISTS (SELECT 1 FROM documents WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'documents is append-only: the key is taken'); END;
CREATE TRIGGER documents_never_updated BEFORE UPDATE ON documents
BEGIN SELECT RAISE(ABORT, 'documents is append-only: rows are never changed'); END;
CREATE TRIGGER documents_never_deleted BEFORE DELETE ON documents
BEGIN SELECT RAISE(ABORT, 'documents is append-only: rows are never deleted'); END;

CREATE TRIGGER marks_never_replaced BEFORE INSERT ON marks WHEN EXISTS (SELECT 1 FROM marks WHERE account = NEW.account AND at_ms = NEW.at_ms)
BEGIN SELECT RAISE(ABORT, 'marks is append-only: the key is taken'); END;
CREATE TRIGGER marks_never_updated BEFORE UPDATE ON marks
BEGIN SELECT RAISE(ABORT, 'marks is append-only: rows are never changed'); END;
CREATE TRIGGER marks_never_deleted BEFORE DELETE ON marks
BEGIN SELECT RAISE(ABORT, 'marks is append-only: rows are never deleted'); END;

CREATE TRIGGER sleeve_marks_never_replaced BEFORE INSERT ON sleeve_marks WHEN EXISTS (SELECT 1 FROM sleeve_marks WHERE account = NEW.account AND at_ms = NEW.at_ms AND symbol = NEW.symbol)
BEGIN SELECT RAISE(ABORT, 'sleeve_marks is append-only: the key is taken'); END;
CREATE TRIGGER sleeve_marks_never_updated BEFORE UPDATE ON sleeve_marks
BEGIN SELECT RAISE(ABORT, 'sleeve_marks is append-only: rows are never changed'); END;
CREATE TRIGGER sleeve_marks_never_deleted BEFORE DELETE ON sleeve_marks
BEGIN SELECT RAISE(ABORT, 'sleeve_marks is append-only: rows are never deleted'); END;

CREATE TRIGGER fills_never_replaced BEFORE INSERT ON fills WHEN EXISTS (SELECT 1 FROM fills WHERE fill_id = NEW.fill_id)
BEGIN SELECT RAISE(ABORT, 'fills is append-only: the key is taken'); END;
CREATE TRIGGER fills_never_updated BEFORE UPDATE ON fills
BEGIN SELECT RAISE(ABORT, 'fills is append-only: rows are never changed'); END;
CREATE TRIGGER fills_never_deleted BEFORE DELETE ON fills
BEGIN SELECT RAISE(ABORT, 'fills is append-only: rows are never deleted'); END;

CREATE TRIGGER funding_never_replaced BEFORE INSERT ON funding WHEN EXISTS (SELECT 1 FROM funding WHERE payment_id = NEW.payment_id)
BEGIN SELECT RAISE(ABORT, 'funding is append-only: the key is taken'); END;
CREATE TRIGGER funding_never_updated BEFORE UPDATE ON funding
BEGIN SELECT RAISE(ABORT, 'funding is append-only: rows are never changed'); END;
CREATE TRIGGER funding_never_deleted BEFORE DELETE ON funding
BEGIN SELECT RAISE(ABORT, 'funding is append-only: rows are never deleted'); END;

CREATE TRIGGER cash_flows_never_replaced BEFORE INSERT ON cash_flows WHEN EXISTS (SELECT 1 FROM cash_flows WHERE flow_id = NEW.flow_id)
BEGIN SELECT RAISE(ABORT, 'cash_flows is append-only: the key is taken'); END;
CREATE TRIGGER cash_flows_never_updated BEFORE UPDATE ON cash_flows
BEGIN SELECT RAISE(ABORT, 'cash_flows is append-only: rows are never changed'); END;
CREATE TRIGGER cash_flows_never_deleted BEFORE DELETE ON cash_flows
BEGIN SELECT RAISE(ABORT, 'cash_flows is append-only: rows are never deleted'); END;

CREATE TRIGGER facts_never_replaced BEFORE INSERT ON facts WHEN EXISTS (SELECT 1 FROM facts WHERE at_ms = NEW.at_ms)
BEGIN SELECT RAISE(ABORT, 'facts is append-only: the key is taken'); END;
CREATE TRIGGER facts_never_updated BEFORE UPDATE ON facts
BEGIN SELECT RAISE(ABORT, 'facts is append-only: rows are never changed'); END;
CREATE TRIGGER facts_never_deleted BEFORE DELETE ON facts
BEGIN SELECT RAISE(ABORT, 'facts is append-only: rows are never deleted'); END;

CREATE TRIGGER verdicts_never_replaced BEFORE INSERT ON verdicts WHEN EXISTS (SELECT 1 FROM verdicts WHERE verdict_id = NEW.verdict_id)
BEGIN SELECT RAISE(ABORT, 'verdicts is append-only: the key is taken'); END;
CREATE TRIGGER verdicts_never_updated BEFORE UPDATE ON verdicts
BEGIN SELECT RAISE(ABORT, 'verdicts is append-only: rows are never changed'); END;
CREATE TRIGGER verdicts_never_deleted BEFORE DELETE ON verdicts
BEGIN SELECT RAISE(ABORT, 'verdicts is append-only: rows are never deleted'); END;

CREATE TRIGGER events_never_replaced BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, 'events is append-only: the key is taken'); END;
CREATE TRIGGER events_never_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: rows are never changed'); END;
CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: rows are never deleted'); END;
