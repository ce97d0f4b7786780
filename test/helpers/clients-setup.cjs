// jest compiles what this requires with the project's own transform. What it puts into the environment reaches the test processes.
module.exports = async () => {
  const { providePython } = require('./clients/python-environment');
  const environment = await providePython(process.env);
  if ('python' in environment) process.env.RATCHET_TEST_PYTHON = environment.python;
  else {
    delete process.env.RATCHET_TEST_PYTHON;
    console.log(`\nSKIPPED: the Python clients, because ${environment.missing}.`);
  }
};
