import { createFixture } from './gateway-fixture';

test.each([
  ['GET', '/v1/responses/resp_1'],
  ['DELETE', '/v1/responses/resp_1'],
  ['GET', '/v1/responses/resp_1/input_items'],
  ['POST', '/v1/responses/resp_1/cancel'],
])('%s %s: no response is held, and the caller is told what to do', async (method, path) => {
  const gateway = await createFixture();
  const response = await gateway.app.request(path, {
    method,
    headers: { authorization: `Bearer ${gateway.session()}` },
  });
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({
    error: {
      message: expect.stringContaining('previous_response_id') as unknown,
      type: 'invalid_request_error',
      code: 'response_not_stored',
    },
  });
});
