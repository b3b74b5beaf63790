-- The audit trail: one row for each verdict and event, in the order of writing; each link covers the one before it.

CREATE TABLE audit (
  number INTEGER NOT NULL PRIMARY KEY CHECK (number >= 1),
  of_table TEXT NOT NULL CHECK (of_table IN ('verdicts', 'events')),
  of_row INTEGER NOT NULL,
  row_sha256 TEXT NOT NULL CHECK (length(row_sha256) = 64),
  chain_sha256 TEXT NOT NULL CHECK (length(chain_sha256) = 64)
) STRICT;
CREATE UNIQUE INDEX audit_of_row ON audit (of_table, of_row);

-- Append-only, as in the first schema.

CREATE TRIGGER audit_never_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'audit is append-only: the key is taken'); END;
CREATE TRIGGER audit_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only: rows are never changed'); END;
CREATE TRIGGER audit_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only: rows are never deleted'); END;
