module.exports = () => require('./minio-server').tearDownSharedMinio();
