// jest compiles what this requires with the project's own transform.
module.exports = () => require('./temporal-server').setUpSharedServer();
