module llmplane.dev/tests/stand-in

go 1.26.0
