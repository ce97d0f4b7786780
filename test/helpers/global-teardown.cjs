module.exports = () => require('./temporal-server').tearDownSharedServer();
