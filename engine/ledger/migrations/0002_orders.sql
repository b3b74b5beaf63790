-- Orders: what was intended, what left, and what the venue said of it. A parent and its intent are written before the
-- order leaves; every later word about it is one more row.

CREATE TABLE parents (
  parent_id TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  bar_ms INTEGER NOT NULL,
  symbol TEXT NOT NULL,
  side INTEGER NOT NULL CHECK (side IN (-1, 1)),
  qty REAL NOT NULL CHECK (qty > 0 AND qty < 9e999),
  target_usd REAL NOT NULL CHECK (abs(target_usd) < 9e999),
  ref_price REAL NOT NULL CHECK (ref_price > 0 AND ref_price < 9e999),
  ref_kind TEXT NOT NULL CHECK (ref_kind IN ('bar_open', 'stop', 'mark')),
  reason TEXT NOT NULL,
  verdict_id TEXT
) STRICT;
CREATE INDEX parents_in_time ON parents (account, symbol, at_ms);

CREATE TABLE intents (
  client_id TEXT NOT NULL PRIMARY KEY CHECK (length(client_id) BETWEEN 1 AND 36),
  parent_id TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  symbol TEXT NOT NULL,
  kind TEXT NOT NULL,
  side INTEGER NOT NULL CHECK (side IN (-1, 1)),
  qty REAL NOT NULL CHECK (qty > 0 AND qty < 9e999),
  price REAL CHECK (price > 0 AND price < 9e999),
  reduce_only INTEGER NOT NULL CHECK (reduce_only IN (0, 1)),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  algo INTEGER NOT NULL CHECK (algo IN (0, 1))
) STRICT;
CREATE INDEX intents_of_parent ON intents (parent_id);

CREATE TABLE order_updates (
  update_id TEXT NOT NULL PRIMARY KEY,
  client_id TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  status TEXT NOT NULL,
  filled_qty REAL NOT NULL CHECK (filled_qty >= 0 AND filled_qty < 9e999),
  avg_price REAL CHECK (avg_price > 0 AND avg_price < 9e999),
  venue_id TEXT NOT NULL,
  ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX order_updates_of_intent ON order_updates (client_id);
CREATE INDEX order_updates_of_venue_id ON order_updates (venue_id) WHERE venue_id <> '';
CREATE INDEX order_updates_that_end ON order_updates (client_id) WHERE ended = 1;

CREATE INDEX fills_of_parent ON fills (parent_id);

-- Append-only, as in the first schema.

CREATE TRIGGER parents_never_replaced BEFORE INSERT ON parents WHEN EXISTS (SELECT 1 FROM parents WHERE parent_id = NEW.parent_id)
BEGIN SELECT RAISE(ABORT, 'parents is append-only: the key is taken'); END;
CREATE TRIGGER parents_never_updated BEFORE UPDATE ON parents
BEGIN SELECT RAISE(ABORT, 'parents is append-only: rows are never changed'); END;
CREATE TRIGGER parents_never_deleted BEFORE DELETE ON parents
BEGIN SELECT RAISE(ABORT, 'parents is append-only: rows are never deleted'); END;

CREATE TRIGGER intents_never_replaced BEFORE INSERT ON intents WHEN EXISTS (SELECT 1 FROM intents WHERE client_id = NEW.client_id)
BEGIN SELECT RAISE(ABORT, 'intents is append-only: the key is taken'); END;
CREATE TRIGGER intents_never_updated BEFORE UPDATE ON intents
BEGIN SELECT RAISE(ABORT, 'intents is append-only: rows are never changed'); END;
CREATE TRIGGER intents_never_deleted BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'intents is append-only: rows are never deleted'); END;

CREATE TRIGGER order_updates_never_replaced BEFORE INSERT ON order_updates WHEN EXISTS (SELECT 1 FROM order_updates WHERE update_id = NEW.update_id)
BEGIN SELECT RAISE(ABORT, 'order_updates is append-only: the key is taken'); END;
CREATE TRIGGER order_updates_never_updated BEFORE UPDATE ON order_updates
BEGIN SELECT RAISE(ABORT, 'order_updates is append-only: rows are never changed'); END;
CREATE TRIGGER order_updates_never_deleted BEFORE DELETE ON order_updates
BEGIN SELECT RAISE(ABORT, 'order_updates is append-only: rows are never deleted'); END;
