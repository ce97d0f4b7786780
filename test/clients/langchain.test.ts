import { pythonClient } from '../helpers/clients/python-clients';

pythonClient('langchain-openai', ['client_langchain.py']);
pythonClient('langgraph', ['client_langchain.py', 'langgraph']);
