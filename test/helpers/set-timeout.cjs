// jest takes testTimeout only for the whole run; projects that start servers and workers need longer than pure ones.
jest.setTimeout(Number(process.env.RATCHET_TEST_TIMEOUT_MS ?? 120_000));
