"""What the black-box tests share: processes, wires, tables. Stdlib only."""
